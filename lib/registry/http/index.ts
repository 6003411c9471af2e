export { createRegistryApp, type RegistryApp, registryServerOptions } from './app.js';
export { ROUTES, type Route, type RouteName } from './routes.js';
export type { RegistryAppDeps, RegistryAppOptions } from './types.js';
