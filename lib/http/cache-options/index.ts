export {
  cacheFields,
  cacheSourceOf,
  cacheTargetOf,
  cacheTexts,
  isTrue,
  needed as neededField,
} from './cache-options.js';
