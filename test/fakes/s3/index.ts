export { fakeCredentials } from './signature.js';
export { startS3Fake, type S3Fake, type S3FakeOptions, type S3Fault } from './server.js';
