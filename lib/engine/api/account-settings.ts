/** Account settings are kept and given back; only long ARNs exist here, whatever the format settings say. */
import * as z from 'zod';
import { invalidParameter } from '../ecs-error.js';
import type { SettingState } from '../state/side-model.js';
import { maxResults, nextToken, text } from './input.js';
import { operation, type Api, type Operation } from './operation.js';
import { pageOf } from './page.js';

const DEFAULTS: Readonly<Record<string, string>> = {
  awsvpcTrunking: 'disabled',
  containerInsights: 'disabled',
  containerInstanceLongArnFormat: 'enabled',
  defaultLogDriverMode: 'non-blocking',
  fargateEventWindows: 'disabled',
  fargateFIPSMode: 'disabled',
  fargateTaskRetirementWaitPeriod: '7',
  guardDutyActivate: 'off',
  serviceLongArnFormat: 'enabled',
  tagResourceAuthorization: 'off',
  taskLongArnFormat: 'enabled',
};
const ACCOUNT = 'default';
const AWS_MANAGED = 'guardDutyActivate';

const name = z.enum(Object.keys(DEFAULTS) as [string, ...string[]]);
const principalArn = text.optional();

const putAccountSetting = operation(z.object({ name, value: text.min(1), principalArn }), (api, input) =>
  put(api, input.name, input.value, input.principalArn ?? root(api)),
);

const putAccountSettingDefault = operation(z.object({ name, value: text.min(1) }), (api, input) =>
  put(api, input.name, input.value, ACCOUNT),
);

async function put(api: Api, setting: string, value: string, principal: string): Promise<object> {
  if (setting === AWS_MANAGED) throw invalidParameter(`${AWS_MANAGED} is read-only.`);
  if (setting.endsWith('LongArnFormat') && value !== 'enabled') {
    throw invalidParameter(`${setting} cannot be disabled: there are only long ARNs.`);
  }
  const state: SettingState = { name: setting, value, principal };
  await api.context.state.settings.put('', `${setting}#${principal}`, state);
  return { setting: view(api, state) };
}

const deleteAccountSetting = operation(z.object({ name, principalArn }), async (api, input) => {
  const principal = input.principalArn ?? root(api);
  await api.context.state.settings.delete('', `${input.name}#${principal}`);
  return { setting: view(api, { name: input.name, value: DEFAULTS[input.name] ?? '', principal }) };
});

const listAccountSettings = operation(
  z.object({
    name: name.optional(),
    value: text.optional(),
    principalArn,
    effectiveSettings: z.boolean().optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const principal = input.principalArn ?? root(api);
    const stored = await api.context.state.settings.all('');
    const of = (setting: string, who: string): SettingState | undefined =>
      stored.find((item) => item.name === setting && item.principal === who);
    const rows = Object.keys(DEFAULTS).flatMap((setting): SettingState[] => {
      const own = of(setting, principal);
      if (input.effectiveSettings !== true) return own === undefined ? [] : [own];
      const value = (own ?? of(setting, ACCOUNT))?.value ?? DEFAULTS[setting] ?? '';
      return [{ name: setting, value, principal }];
    });
    const wanted = rows.filter(
      (row) =>
        (input.name === undefined || row.name === input.name) &&
        (input.value === undefined || row.value === input.value),
    );
    const page = pageOf(wanted, (row) => row.name, input, 10);
    return { settings: page.items.map((row) => view(api, row)), nextToken: page.nextToken };
  },
);

function root(api: Api): string {
  return `arn:aws:iam::${api.context.options.accountId}:root`;
}

function view(api: Api, setting: SettingState): object {
  return {
    name: setting.name,
    value: setting.value,
    principalArn: setting.principal === ACCOUNT ? root(api) : setting.principal,
    type: setting.name === AWS_MANAGED ? 'aws_managed' : 'user',
  };
}

export const accountSettingOperations: Readonly<Record<string, Operation>> = {
  PutAccountSetting: putAccountSetting,
  PutAccountSettingDefault: putAccountSettingDefault,
  DeleteAccountSetting: deleteAccountSetting,
  ListAccountSettings: listAccountSettings,
};
