import { pullThrough } from './pull-through.js';
import { openCloudStore } from './stores.js';

/** What differs between stores: bytes on their way in and out, what is left of those that break off, expiry. */
const TELLING = [
  'serves what the upstream has, byte for byte, and then without it',
  'asks for a blob once, however many want it at once',
  'gives bytes to the client while they arrive, before they are stored',
  'keeps nothing of a blob that broke off or is not what its digest says, and gets it the next time',
  'while the upstream answers 500 a tag is served as it was last seen',
  'is found by the host and the name that an image has at its source',
  'a blob that another repository has is read only where the upstream has it too, and not fetched again',
  'builder and engine get an image of a cache with all its layers',
];

pullThrough('S3 and DynamoDB', openCloudStore, process.env['WHARF_TEST_FULL'] === '1' ? undefined : TELLING);
