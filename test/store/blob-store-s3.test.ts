import { S3BlobStore } from '../../lib/store/aws/blob-store-s3.js';
import { blobStoreContract } from '../contract/blob-store.js';
import { createTestStore } from '../fakes/embedded-store.js';
import { openTestBucket } from './aws-subjects.js';

blobStoreContract('S3', { hasUrls: true }, async () => {
  const store = await createTestStore();
  const s3 = await openTestBucket();
  const open = (): S3BlobStore => new S3BlobStore({ ...store, client: s3.client }, { bucket: s3.bucket });
  return {
    blobs: open(),
    reopen: () => Promise.resolve(open()),
    async close() {
      await s3.close();
      await store.close();
    },
  };
});
