export { type AgentDeps, type AgentOptions, createAgent } from './agent.js';
export { type LayerFolders } from './container-run.js';
export { parseSecretReference, type SecretName, type SecretReference, type SecretSource } from './secret-source.js';
export { type TaskCredentials, type TaskCredentialsSource } from './endpoint/task-credentials.js';
export { type ObjectName, type ObjectSource, parseEnvironmentFile } from './environment-files.js';
export { folderObjects } from './object-source-folder.js';
export { type LogRetention } from './log-retention.js';
export { type ImageLayer, type OtherRegistries } from './image-source.js';
export type * from './types.js';
