import { describe } from '@jest/globals';
import { conformance } from './conformance.js';
import { openEmbeddedStore } from './stores.js';

describe('the distribution API on a folder and lmdb', () => conformance(openEmbeddedStore));
