export * from './exec-frames.js';
