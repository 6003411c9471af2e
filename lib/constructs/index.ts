export { ContainerCluster, type ContainerClusterProps } from './container-cluster.js';
export { ControlPlane, type ControlPlaneProps } from './control-plane.js';
export { Edge, type EdgeProps } from './edge.js';
export { ImageBuilder, type ImageBuilderProps } from './image-builder.js';
export { ImageStore, type ImageStoreProps } from './image-store.js';
export { Wharf, type WharfProps } from './wharf.js';
export { WharfFunction, type WharfFunctionProps } from './wharf-function.js';
