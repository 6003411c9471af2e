import { describe } from '@jest/globals';
import { behaviours } from './behaviours.js';
import { openEmbeddedStore } from './stores.js';

describe('behaviours on a folder and lmdb', () => behaviours(openEmbeddedStore));
