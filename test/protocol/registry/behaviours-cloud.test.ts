import { describe } from '@jest/globals';
import { behaviours } from './behaviours.js';
import { openCloudStore } from './stores.js';

describe('behaviours on S3 and DynamoDB', () => behaviours(openCloudStore));
