export { type ApiDeps, type ApiOptions } from './api-deps.js';
export { type ApiApp, createApiApp } from './app.js';
export { type ConsoleDeps, createConsole } from './console.js';
export * from './front/index.js';
export { openApiDocument } from './openapi.js';
export { type Problem, problemOf, problemResponse, STATUS } from './problem.js';
export { type Access, type Answer, type Method, type Route } from './route.js';
export { type FetchApp, type RunningServer, serve, type ServeOptions } from './server.js';
