export { fakeCredentials } from './signature.js';
export { startS3Fake, type S3Fake, type S3FakeOptions } from './server.js';
