/** ECS's own documents, under names that say whose they are. */
export type {
  Cluster as EcsCluster,
  ContainerInstance as EcsInstance,
  CreateServiceCommandInput as CreateServiceInput,
  Deployment as EcsDeployment,
  ECSClient,
  RegisterContainerInstanceCommandInput as RegisterInstanceInput,
  RegisterTaskDefinitionCommandInput as TaskDefinitionInput,
  RunTaskCommandInput as RunTaskInput,
  Service as EcsService,
  Task as EcsTask,
  UpdateServiceCommandInput as UpdateServiceInput,
} from '@aws-sdk/client-ecs';
