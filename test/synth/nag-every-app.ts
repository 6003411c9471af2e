/** Imported before CDK apps that know nothing of it: what each of them synthesises is looked at by cdk-nag. */
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, HIPAASecurityChecks } from 'cdk-nag';

const synth = Reflect.get(App.prototype, 'synth') as App['synth'];
/** CDK synthesises once more at the end what did not pass. */
const seen = new WeakSet<App>();

Reflect.set(App.prototype, 'synth', function nagged(this: App): void {
  if (seen.has(this)) return;
  seen.add(this);
  Validations.of(this).addPlugins(new AwsSolutionsChecks(this), new HIPAASecurityChecks(this));
  try {
    synth.call(this);
  } catch (error) {
    // Findings are in the report, which a test reads; everything else is a failure.
    if (!(error instanceof Error) || !error.message.startsWith('Validation failed. A copy of this report')) throw error;
  }
});
