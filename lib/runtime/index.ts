export { capabilitySet } from './process/capabilities.js';
export {
  HOST_PATH,
  mustRun,
  parseSignal,
  runCommand,
  type CommandOptions,
  type CommandResult,
} from './host/host-command.js';
export {
  bridgeName,
  cgroupPath,
  checkContainerId,
  netnsName,
  networkName,
  findHostScope,
  openHostScope,
  scopePaths,
} from './host/host-scope.js';
export { mountOverlay, mountPoints, type OverlayMount, unmountOverlay } from './root/overlay.js';
export { Runc, type RunOptions, type RunResult } from './oci-runtime/runc.js';
export {
  checkRuntime,
  judgeRuntime,
  type RuntimePackage,
  type RuntimeVerdict,
} from './oci-runtime/oci-runtime-version.js';
export { OCI_RUNTIMES, type OciRuntime } from './oci-runtime/oci-runtime.js';
export { type HostFacts, type OciRuntimeConfig, runtimeConfig } from './process/runtime-config.js';
export { tmpfsOptions } from './process/runtime-mounts.js';
export * from './types.js';
export { resolveInRoot, type ResolvedUser, resolveUser, resolveUserIn } from './process/user.js';
export { listenInNamespace, makeClosedNetwork, removeClosedNetwork } from './network/closed-network.js';
export { BridgeNetwork, type NetworkAttachment } from './network/bridge-network.js';
export {
  type ContainerLogLine,
  parseLogEntry,
  readContainerLog,
  type ReadLogOptions,
} from './supervised/container-log.js';
export { type ExecEnd, type ExecOptions, type ExecSession, type TerminalSize } from './supervised/exec-session.js';
export { type ContainerExit } from './supervised/exit-watch.js';
export { DEFAULT_LOG_LIMITS, type LogLimits } from './supervised/log-rotation.js';
export type { ExecResult } from './supervised/exec-once.js';
export { type ContainerState, SupervisedContainers } from './supervised/supervised-containers.js';
export { type Manner, type SupervisorOptions } from './supervised/supervisor.js';
export { type ContainerUsage, containerUsage, type InterfaceCounters } from './cgroup/container-usage.js';
export { initProgram, missingTools } from './host/host-programs.js';
export {
  RESOLVER_ADDRESS,
  RESOLVER_PORT,
  serviceAddress,
  signResolver,
  TASK_ENDPOINT_ADDRESS,
  TASK_ENDPOINT_PORT,
} from './network/link-local.js';
export { hostResolvers } from './process/name-files.js';
export { isNamespacedSysctl } from './process/sysctls.js';
export { hostResidue, sweepHost, sweepStray } from './host/host-sweep.js';
export { publishedPorts } from './network/packet-rules.js';
export { controllersBesideV1 } from './cgroup/cgroup.js';
export { ownCgroup } from './cgroup/own-cgroup.js';
