#!/usr/bin/env node
// Starts the CLI from its TypeScript source.
import { register } from 'tsx/esm/api';

register();
await import('./wharf.ts');
