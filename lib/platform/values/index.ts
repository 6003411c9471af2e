/** Small things about plain values, without the SDK behind them: a door of its own for the command line. */
export * from './content-hash.js';
export * from './defined.js';
