/** What a container's run stands on: the parts of the agent, and what the container needs of its task. */
import type { BridgeNetwork, HostScope, SupervisedContainers } from '../../runtime/index.js';
import type { Clock, Logger } from '../../store/index.js';
import type { ObjectSource } from './environment-files.js';
import type { HostPorts } from './host-ports.js';
import type { ImageLayer } from './image-source.js';
import type { SecretSource } from './secret-source.js';
import type { ContainerRecord, EndpointIds } from './task-records.js';
import type { AgentEvent, TaskPayload } from './types.js';
import type { TaskVolumes } from './volumes.js';

/** Layers as folders on disk, shared by all containers: `UnpackedLayers` of lib/layers, as seen from here. */
export interface LayerFolders {
  /** Absolute; the names are relative to it. */
  readonly directory: string;
  /** Unpacks the layer unless it lies there already, and gives its short name. Safe to call at once from many sides. */
  ensure(layer: ImageLayer): Promise<string>;
}

export interface ContainerRunDeps {
  readonly scope: HostScope;
  readonly containers: SupervisedContainers;
  readonly network: BridgeNetwork;
  readonly layers: LayerFolders;
  readonly ports: HostPorts;
  /** Absent: containers with secrets do not start. */
  readonly secrets?: SecretSource;
  /** Called when a container has its network: from now on it may ask for names. */
  readonly announceNames: () => Promise<void>;
  /** Absent: containers with environment files do not start. */
  readonly objects?: ObjectSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a container needs of its task. */
export interface ContainerSurroundings {
  readonly payload: TaskPayload;
  /** Folder for what the container writes. */
  readonly folder: string;
  readonly volumes: TaskVolumes;
  readonly record: () => ContainerRecord | undefined;
  /** Of another container of the task. */
  readonly recordOf: (container: string) => ContainerRecord | undefined;
  /** The network that all containers of the task share, made when it is first asked for. */
  readonly sharedNetwork: () => Promise<{ readonly netnsPath: string; readonly address: string }>;
  /** Of the task, once the first container is made. */
  readonly endpointIds: () => EndpointIds | undefined;
  /** Whether the task is to stop. */
  readonly isEnding: () => boolean;
  /** For whoever asks from here on; on disk with the next `write`. */
  readonly note: (record: ContainerRecord) => void;
  /** On disk when it resolves. */
  readonly write: (record: ContainerRecord) => Promise<void>;
  readonly emit: (event: ContainerEvent) => void;
  /** Aborts when the agent goes away; the container does not. */
  readonly closing: AbortSignal;
}

type OfTask<E> = E extends AgentEvent ? Omit<E, 'taskId' | 'timeMs'> & { readonly timeMs?: number } : never;
export type ContainerEvent = OfTask<AgentEvent>;
