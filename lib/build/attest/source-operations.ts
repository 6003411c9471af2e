/** Where files come from, as source operations of BuildKit. */
import type { Platform } from '../../oci/index.js';
import {
  imageIdentifier,
  layoutIdentifier,
  localIdentifier,
  remoteIdentifier,
  type SourceIdentifier,
} from '../plan/source-identifiers.js';
import type { BaseImage, RemoteRef } from '../plan/steps.js';
import { isLayout } from './dependencies.js';

/** A vertex of the graph without its inputs. */
export type Operation = object & { readonly Op: object };

export function imageSource({ name, platform }: BaseImage): Operation {
  const identifier = isLayout(name) ? layoutIdentifier(name) : imageIdentifier(name);
  return { ...sourceOperation(identifier), ...platformOf(platform) };
}

/** What came from the client, by its name. */
export function localSource(name: string): Operation {
  return sourceOperation(localIdentifier(name));
}

export function remoteSource(remote: RemoteRef): Operation {
  return sourceOperation(remoteIdentifier(remote));
}

export function platformOf({ architecture, os, variant }: Platform): object {
  return { platform: { Architecture: architecture, OS: os, ...(variant === undefined ? {} : { Variant: variant }) } };
}

function sourceOperation({ identifier, attrs }: SourceIdentifier): Operation {
  return { Op: { source: { identifier, ...(Object.keys(attrs).length === 0 ? {} : { attrs }) } } };
}
