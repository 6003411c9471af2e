/** What an app with `Monitoring` looks at: its alarms and the graphs of its dashboard, every name resolved as in an account. */
import type { CfnAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { type Template, Templates } from '../fakes/account/template.js';
import { Monitoring, Wharf } from '../../lib/constructs/index.js';
import { testStack } from '../synth/unbundled.js';

export interface WatchedMetric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

export interface WatchedAlarm {
  /** As the runbook has it in its headings. */
  readonly id: string;
  readonly metric: WatchedMetric;
  readonly threshold: number;
}

export interface Watched {
  readonly alarms: readonly WatchedAlarm[];
  /** Of alarms and of graphs. */
  readonly metrics: readonly WatchedMetric[];
  /** Logical ids of a type. */
  ids(type: string): readonly string[];
}

interface AlarmProperties {
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Dimensions: readonly { readonly Name: string; readonly Value: string }[];
  readonly Threshold: number;
}

interface Board {
  readonly widgets: readonly {
    readonly properties: { readonly metrics?: readonly (readonly [string, string, ...unknown[]])[] };
  }[];
}

export function watched(): Watched {
  const { stack, template } = testStack();
  const { alarms: made } = new Monitoring(stack, 'Monitoring', { wharf: new Wharf(stack, 'Wharf') });
  const names = new Map(made.map(({ node }) => [stack.getLogicalId(node.defaultChild as CfnAlarm), node.id]));
  const templates = new Templates({ Test: template().toJSON() as Template }, 'http://sqs');
  const alarms = templates.ofType('AWS::CloudWatch::Alarm').map(({ id, properties }): WatchedAlarm => {
    const { Namespace, MetricName, Dimensions, Threshold } = properties as unknown as AlarmProperties;
    const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]));
    return {
      id: names.get(id) ?? id,
      metric: { namespace: Namespace, name: MetricName, dimensions },
      threshold: Threshold,
    };
  });
  const boards = templates.ofType('AWS::CloudWatch::Dashboard').flatMap(({ properties }) => {
    const { widgets } = JSON.parse(String(properties['DashboardBody'])) as Board;
    return widgets.flatMap(({ properties: { metrics = [] } }) => metrics.map(metricOf));
  });
  return {
    alarms,
    metrics: [...alarms.map(({ metric }) => metric), ...boards],
    ids: (type) => templates.ofType(type).map(({ id }) => id),
  };
}

/** Namespace, name, dimensions by name and value, and how it is drawn. */
function metricOf([namespace, name, ...rest]: readonly [string, string, ...unknown[]]): WatchedMetric {
  const words = rest.filter((each) => typeof each === 'string');
  const dimensions = words.flatMap((word, at) => (at % 2 === 0 ? [[word, words[at + 1] ?? '']] : []));
  return { namespace, name, dimensions: Object.fromEntries(dimensions) as Record<string, string> };
}
