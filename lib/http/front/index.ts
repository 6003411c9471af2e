export { createFront, type Front, type FrontOptions } from './front.js';
