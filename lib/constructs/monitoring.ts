/**
 * What somebody should be told of, and one page to look at: an alarm for each thing that does not heal by itself, and a
 * dashboard of what is asked first when something is slow.
 */
import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  type IAlarmAction,
  type IMetric,
  SingleValueWidget,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { RegistryFront } from './registry-front.js';
import type { Wharf } from './wharf.js';

export interface MonitoringProps {
  readonly wharf: Wharf;
  /** Watched too. @default - none */
  readonly registryFront?: RegistryFront;
  /** What alarms do, such as `new SnsAction(topic)`. @default - nothing: they are only seen */
  readonly actions?: IAlarmAction[];
  /** Whether a dashboard is made (US$ 3 a month beyond the first three of an account). @default true */
  readonly dashboard?: boolean;
  /** For `DeadBuilds`, `DeadEvents`, `OldBuild`, `ApiErrors`, `RegistryErrors`, `ReconcilerErrors`, `CollectorErrors`, `RegistryFrontDown` and `dashboard`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

const PERIOD = Duration.minutes(5);

/** @example new Monitoring(stack, 'Monitoring', { wharf, actions: [new SnsAction(topic)] }); */
export class Monitoring extends Construct {
  readonly alarms: readonly Alarm[];
  readonly dashboard: Dashboard | undefined;

  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    const { builder, collector, controlPlane } = props.wharf;
    this.alarms = [
      this.alarm('DeadBuilds', 'Builds that nothing settled: see the runbook', builder.metricDeadLetters(), 1),
      this.alarm('DeadEvents', 'ECS events given up: see the runbook', controlPlane.metricEventDeadLetters(), 1),
      this.alarm('OldBuild', 'A build has waited a quarter of an hour', builder.metricOldestBuildAge(), 900),
      this.alarm('ApiErrors', 'Requests that the API function died of', controlPlane.api.metricErrors(), 5),
      this.alarm('RegistryErrors', 'Requests the registry function died of', controlPlane.registry.metricErrors(), 5),
      this.alarm('ReconcilerErrors', 'Deployments may stand still', controlPlane.reconciler.metricErrors(), 3),
      // It is called every five minutes; one call that failed is made good by the next.
      this.alarm(
        'CollectorErrors',
        'What nobody needs stays: see the runbook',
        collector.metricErrors({ period: Duration.hours(1) }),
        6,
      ),
      ...(props.registryFront === undefined ? [] : [this.alarmOfFront(props.registryFront)]),
    ];
    for (const alarm of this.alarms) for (const action of props.actions ?? []) alarm.addAlarmAction(action);
    this.dashboard = props.dashboard === false ? undefined : this.board(props.wharf);
    const { dashboard } = this;
    const byId: Readonly<Record<string, Alarm>> = Object.fromEntries(
      this.alarms.map((alarm) => [alarm.node.id, alarm]),
    );
    const { DeadBuilds, DeadEvents, OldBuild, ApiErrors, RegistryErrors, ReconcilerErrors } = byId;
    const { CollectorErrors, RegistryFrontDown } = byId;
    overrideCfn(
      this,
      {
        DeadBuilds,
        DeadEvents,
        OldBuild,
        ApiErrors,
        RegistryErrors,
        ReconcilerErrors,
        CollectorErrors,
        RegistryFrontDown,
        dashboard,
      },
      props.cfnOverrides,
    );
  }

  private alarm(id: string, alarmDescription: string, metric: IMetric, threshold: number): Alarm {
    return new Alarm(this, id, {
      alarmDescription,
      metric,
      threshold,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
  }

  /** With no container at all there is nothing to count, which is the same. */
  private alarmOfFront(front: RegistryFront): Alarm {
    return new Alarm(this, 'RegistryFrontDown', {
      alarmDescription: 'No container of the registry front answers: see the runbook',
      metric: front.metricHealthyContainers({ period: Duration.minutes(1), statistic: Stats.MINIMUM }),
      threshold: 1,
      evaluationPeriods: 5,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      treatMissingData: TreatMissingData.BREACHING,
    });
  }

  private board({ builder, capacity, collector, controlPlane }: Wharf): Dashboard {
    const graph = (title: string, ...left: IMetric[]): GraphWidget =>
      new GraphWidget({ title, left, width: 12, period: PERIOD });
    const { api, registry, reconciler } = controlPlane;
    const functions = [api, registry, reconciler, builder.function, collector.function].map((fn) => fn.function);
    return new Dashboard(this, 'Dashboard', {
      widgets: [
        [
          new SingleValueWidget({
            title: 'Needs somebody',
            metrics: [builder.metricDeadLetters(), controlPlane.metricEventDeadLetters()],
            width: 12,
          }),
          new SingleValueWidget({
            title: 'Runs',
            metrics: [capacity.metricRunningTasks(), capacity.metricInstances()],
            width: 12,
          }),
        ],
        [
          graph(
            'Builds: waiting, and the oldest in seconds',
            builder.metricWaitingBuilds(),
            builder.metricOldestBuildAge(),
          ),
          graph('Capacity asked for, percent', capacity.metricCapacityReservation()),
        ],
        [
          graph('Errors', ...functions.map((fn) => fn.metricErrors())),
          graph('Milliseconds', ...functions.map((fn) => fn.metricDuration())),
        ],
        [
          graph(
            'Builds by how they ended, and those handed over to a worker',
            builder.metricBuildsSucceeded(),
            builder.metricBuildsFailed(),
            builder.metricBuildsHandedOver(),
          ),
          graph('Milliseconds of builds, from request to end', builder.metricBuildMilliseconds()),
        ],
        [
          graph('Milliseconds from ECS to the records, of a hundred the worst', controlPlane.metricReconcileLag()),
          graph(
            'Tasks corrected by a sweep; unfinished work',
            controlPlane.metricDrift(),
            controlPlane.metricUnfinishedWork(),
          ),
        ],
        [graph('Throttled', ...functions.map((fn) => fn.metricThrottles()))],
      ],
    });
  }
}
