/** The entry of the image of `RegistryFront`: serves until it is told to stop, then lets requests end. */
import { readAwsConfig, STORE_SETTINGS } from './config.js';
import { startRegistryFront } from './registry-front.js';

const { PORT = '8080', WHARF_DRAIN_SECONDS = '100' } = process.env;
const config = readAwsConfig(process.env, ...STORE_SETTINGS, 'adminTokenArn', 'publicUrl');
const front = await startRegistryFront(config, { port: Number(PORT), drainMs: Number(WHARF_DRAIN_SECONDS) * 1000 });
const stop = (): void => void front.close().then(() => process.exit(0));
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
