export { ApiTokens, sameText, type ApiTokenInfo, type ApiTokensDeps, type CreatedApiToken } from './api-tokens.js';
export * from './authorize.js';
export * from './principal.js';
export * from './registry-scope.js';
export * from './registry-tokens.js';
export * from './sigv4.js';
export { TokenKeys, type TokenKeysDeps } from './token-keys.js';
