export { capabilitySet } from './capabilities.js';
export {
  HOST_PATH,
  mustRun,
  parseSignal,
  runCommand,
  type CommandOptions,
  type CommandResult,
} from './host-command.js';
export {
  bridgeName,
  cgroupPath,
  checkContainerId,
  netnsName,
  networkName,
  openHostScope,
  scopePaths,
} from './host-scope.js';
export { mountOverlay, mountPoints, type OverlayMount, unmountOverlay } from './overlay.js';
export { Runc, type RunOptions, type RunResult } from './runc.js';
export { checkRuntime, judgeRuntime, type RuntimePackage, type RuntimeVerdict } from './oci-runtime-version.js';
export { OCI_RUNTIMES, type OciRuntime } from './oci-runtime.js';
export { type HostFacts, type OciRuntimeConfig, runtimeConfig } from './runtime-config.js';
export { tmpfsOptions } from './runtime-mounts.js';
export * from './types.js';
export { resolveInRoot, type ResolvedUser, resolveUser, resolveUserIn } from './user.js';
export { BridgeNetwork, type NetworkAttachment } from './bridge-network.js';
export { type ContainerLogLine, parseLogEntry, readContainerLog, type ReadLogOptions } from './container-log.js';
export { type ExecEnd, type ExecOptions, type ExecSession, type TerminalSize } from './exec-session.js';
export { type ContainerExit } from './exit-watch.js';
export { DEFAULT_LOG_LIMITS, type LogLimits } from './log-rotation.js';
export { type ContainerState, type ExecResult, SupervisedContainers } from './supervised-containers.js';
export { type Manner, type SupervisorOptions } from './supervisor.js';
export { type ContainerUsage, containerUsage, type InterfaceCounters } from './container-usage.js';
export { initProgram, missingTools } from './host-programs.js';
export {
  RESOLVER_ADDRESS,
  RESOLVER_PORT,
  serviceAddress,
  signResolver,
  TASK_ENDPOINT_ADDRESS,
  TASK_ENDPOINT_PORT,
} from './link-local.js';
export { hostResolvers } from './name-files.js';
export { isNamespacedSysctl } from './sysctls.js';
export { hostResidue, sweepHost, sweepStray } from './host-sweep.js';
export { publishedPorts } from './packet-rules.js';
export { controllersBesideV1 } from './cgroup.js';
export { ownCgroup } from './own-cgroup.js';
