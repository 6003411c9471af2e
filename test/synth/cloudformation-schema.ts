/**
 * A synthesised template against the resource schemas of CloudFormation, as `@aws-cdk/aws-service-spec` carries them:
 * names of properties and attributes, what is required, types, allowed values. What only a deployment knows (a
 * reference, an import) stands for any text.
 */
import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';
import type { Property, PropertyType, Resource, SpecDatabase } from '@aws-cdk/service-spec-types';

export interface TemplateResource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}
export type TemplateResources = Readonly<Record<string, TemplateResource>>;

type Properties = Readonly<Record<string, Property>>;

/** Types whose schema CloudFormation leaves to who made them. */
const CUSTOM = /^(Custom::|AWS::CloudFormation::CustomResource$|AWS::CDK::)/;
const INTRINSIC = /^(Ref|Fn::[A-Za-z0-9]+)$/;

export class CloudFormationSchema {
  private readonly database: SpecDatabase = loadAwsServiceSpecSync();

  /** What is wrong, a sentence each; empty when CloudFormation would take the template as it is. */
  problems(resources: TemplateResources): readonly string[] {
    return Object.entries(resources).flatMap(([id, { Type, Properties = {} }]) => [
      ...this.references(id, Properties, resources),
      ...this.resource(id, Type, Properties),
    ]);
  }

  /** Whether the resource keeps data: what CloudFormation says of it, and repositories of images. */
  isStateful(type: string): boolean {
    return type === 'AWS::ECR::Repository' || this.find(type)?.isStateful === true;
  }

  /** Properties that CloudFormation changes only by making another resource in the place of this one. */
  replacedBy(type: string): readonly string[] {
    const properties = Object.entries(this.find(type)?.properties ?? {});
    return properties.flatMap(([name, { causesReplacement = 'no' }]) => (causesReplacement === 'no' ? [] : [name]));
  }

  private find(type: string): Resource | undefined {
    return this.database.lookup('resource', 'cloudFormationType', 'equals', type)[0];
  }

  private resource(id: string, type: string, properties: Readonly<Record<string, unknown>>): readonly string[] {
    if (CUSTOM.test(type)) return [];
    const schema = this.find(type);
    if (schema === undefined) return [`${id}: there is no type ${type}`];
    return this.object(`${id} (${type})`, properties, schema.properties);
  }

  private object(place: string, value: Readonly<Record<string, unknown>>, properties: Properties): readonly string[] {
    const missing = Object.entries(properties)
      .filter(([name, { required }]) => required === true && !(name in value))
      .map(([name]) => `${place}: ${name} is required`);
    const given = Object.entries(value).flatMap(([name, member]) => {
      const property = properties[name];
      if (property === undefined) return [`${place}: there is no property ${name}`];
      // Older templates keep the type that a property once had.
      const types = [property.type, ...(property.previousTypes ?? [])];
      return this.anyOf(`${place}.${name}`, member, types);
    });
    return [...missing, ...given];
  }

  private anyOf(place: string, value: unknown, types: readonly PropertyType[]): readonly string[] {
    const tries = types.map((type) => this.value(place, value, type));
    return tries.find((problems) => problems.length === 0) ?? tries[0] ?? [];
  }

  private value(place: string, value: unknown, type: PropertyType): readonly string[] {
    if (isIntrinsic(value)) return [];
    const wanted = (what: string): string[] => [`${place}: ${JSON.stringify(value)} is not ${what}`];
    switch (type.type) {
      case 'json':
      case 'date-time':
      case 'null':
        return [];
      case 'tag':
        return isObject(value) && 'Key' in value && 'Value' in value ? [] : wanted('a tag');
      case 'string': {
        if (isObject(value) || Array.isArray(value)) return wanted('a text');
        const { allowedValues } = type;
        if (allowedValues === undefined || allowedValues.includes(String(value))) return [];
        return wanted(`one of ${allowedValues.join(', ')}`);
      }
      case 'number':
      case 'integer':
        return /^-?\d+(\.\d+)?$/.test(String(value)) ? [] : wanted('a number');
      case 'boolean':
        return /^(true|false)$/.test(String(value)) ? [] : wanted('true or false');
      case 'array':
        if (!Array.isArray(value)) return wanted('a list');
        return value.flatMap((one, index) => this.value(`${place}[${index}]`, one, type.element));
      case 'map':
        if (!isObject(value)) return wanted('an object');
        return Object.entries(value).flatMap(([name, one]) => this.value(`${place}.${name}`, one, type.element));
      case 'union':
        return this.anyOf(place, value, type.types);
      case 'ref':
      default: {
        if (!isObject(value)) return wanted('an object');
        return this.object(place, value, this.database.get('typeDefinition', type.reference.$ref).properties);
      }
    }
  }

  /** References inside a value have to name a resource of the template, and an attribute that it has. */
  private references(place: string, value: unknown, resources: TemplateResources): readonly string[] {
    if (Array.isArray(value)) return value.flatMap((one) => this.references(place, one, resources));
    if (!isObject(value)) return [];
    const attribute = value['Fn::GetAtt'];
    if (!Array.isArray(attribute)) {
      return Object.values(value).flatMap((one) => this.references(place, one, resources));
    }
    const [id, name] = attribute.map(String);
    const type = resources[id ?? '']?.Type;
    if (type === undefined) return [`${place}: there is no resource ${id}`];
    const attributes = CUSTOM.test(type) ? undefined : this.find(type)?.attributes;
    return attributes === undefined || (name ?? '') in attributes ? [] : [`${place}: ${type} has no attribute ${name}`];
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isIntrinsic(value: unknown): boolean {
  if (!isObject(value)) return false;
  const keys = Object.keys(value);
  return keys.length === 1 && INTRINSIC.test(keys[0] ?? '');
}
