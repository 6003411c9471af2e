import { pullThrough } from './pull-through.js';
import { openEmbeddedStore } from './stores.js';

pullThrough('a folder and lmdb', openEmbeddedStore);
