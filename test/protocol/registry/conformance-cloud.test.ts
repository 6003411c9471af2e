import { describe } from '@jest/globals';
import { conformance } from './conformance.js';
import { openCloudStore } from './stores.js';

/** What differs between stores: sizes on both sides of a record's limit, empty blobs, many records in a transaction. */
const TELLING = [
  'an image',
  'a manifest of 3.9 MB',
  'a nested index',
  'an image with an empty blob',
  'a subject with referrers',
  'a subject that is not there',
  'a referrer with 3 MB of annotations',
];

describe('the distribution API on S3 and DynamoDB', () =>
  conformance(openCloudStore, process.env['WHARF_TEST_FULL'] === '1' ? undefined : TELLING));
