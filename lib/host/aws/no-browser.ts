/** Bundled in the place of `bowser`, with which the SDK tells browsers apart: a function is none. */
export default {};
