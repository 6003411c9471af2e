export { AppError, errnoCode, toAppError, type AppErrorOptions, type ErrorKind } from './app-error.js';
export { startedProcess } from './started-process.js';
