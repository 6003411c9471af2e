export { BuildWorker, type BuildWorkerProps } from './build-worker.js';
export {
  type AttachedCapacity,
  Capacity,
  type FleetProps,
  type ICapacity,
  type ImportedCapacityProps,
  type MixedCapacityProps,
  type OnDemandCapacityProps,
  type SpotCapacityProps,
} from './capacity.js';
export type { BuilderSourcePolicy } from './builder-source-policy.js';
export type { CfnOverrides } from './cfn-overrides.js';
export { ContainerCluster, type ContainerClusterProps } from './container-cluster.js';
export type { ContainerClusterAttributes, IContainerCluster } from './container-cluster-base.js';
export { ControlPlane, type ControlPlaneProps } from './control-plane.js';
export type { ControlPlaneAttributes, IControlPlane } from './control-plane-base.js';
export { Edge, type EdgeAttributes, type EdgeProps, type IEdge } from './edge.js';
export { idleSentence, type IdleOptions, WHOLE_PLATFORM } from './cost.js';
export { GroupRemoval, type GroupRemovalProps } from './group-removal.js';
export { SandboxProbe, type SandboxProbeProps } from './sandbox-probe.js';
export { DockerfileImage, type DockerfileImageProps } from './dockerfile-image.js';
export type { DockerfileImageCodeOptions } from './dockerfile-image-code.js';
export {
  type IImageBuilder,
  ImageBuilder,
  type ImageBuilderAttributes,
  type ImageBuilderProps,
} from './image-builder.js';
export { ImageCollector, type ImageCollectorProps } from './image-collector.js';
export { ImageProvider, type ImageProviderProps } from './image-provider.js';
export { type IImageStore, ImageStore, type ImageStoreAttributes, type ImageStoreProps } from './image-store.js';
export { MadeClusters, type MadeClustersProps } from './made-clusters.js';
export { Monitoring, type MonitoringProps } from './monitoring.js';
export { RegistryDomain, type RegistryDomainProps } from './registry-domain.js';
export { RegistryBalancer, type RegistryBalancerProps } from './registry-balancer.js';
export { RegistryFront, type RegistryFrontProps } from './registry-front.js';
export { Service, type ServiceHealth, type ServicePort, type ServiceProps } from './service.js';
export { type BoundServiceImage, ServiceImage } from './service-image.js';
export { ServiceProvider, type ServiceProviderProps } from './service-provider.js';
export { Wharf, type WharfProps } from './wharf.js';
export { WharfFunction, type WharfFunctionProps } from './wharf-function.js';
