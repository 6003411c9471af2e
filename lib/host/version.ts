/** What /healthz and the OpenAPI document call this version. */
export const VERSION = '0.1.0';
