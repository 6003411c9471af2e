/** What a service runs: an image by its name in Wharf's registry, or one that the template itself builds. */
import { Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { parseReference } from '../oci/index.js';
import type { DockerfileImage } from './dockerfile-image.js';
import type { IEdge } from './edge.js';
import { refusedProp } from './refused-prop.js';

export interface BoundServiceImage {
  /** `repository[:tag][@digest]` in Wharf's registry. */
  readonly reference: string;
}

export abstract class ServiceImage {
  /** @param reference `repository[:tag][@digest]`; a tag means what it meant when the service was last deployed */
  static fromRegistry(reference: string): ServiceImage {
    return new RegistryServiceImage(reference);
  }

  /** An image whose builder has the store of the platform, as `wharf.builder` has. */
  static fromDockerfileImage(image: DockerfileImage): ServiceImage {
    return new BuiltServiceImage(image);
  }

  abstract bind(scope: Construct, edge: IEdge): BoundServiceImage;
}

class RegistryServiceImage extends ServiceImage {
  constructor(private readonly reference: string) {
    super();
  }

  /** @throws AppError REFERENCE_INVALID for what is no name of an image */
  bind(): BoundServiceImage {
    if (!Token.isUnresolved(this.reference)) parseReference(this.reference);
    return { reference: this.reference };
  }
}

class BuiltServiceImage extends ServiceImage {
  constructor(private readonly image: DockerfileImage) {
    super();
  }

  /** @throws Error when the image is in another store than the platform's */
  bind(scope: Construct, edge: IEdge): BoundServiceImage {
    const { builder, sourceRepository, digest } = this.image;
    if (edge.store === undefined || builder.store !== edge.store) {
      throw refusedProp(
        scope.node.path,
        `the image ${this.image.node.path} is built into another store than the platform's, ` +
          'which cannot read it: give the DockerfileImage the builder of the platform (builder: wharf.builder)',
      );
    }
    return { reference: `${sourceRepository}@${digest}` };
  }
}
