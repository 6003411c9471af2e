export const handler = async () => ({ greeting: process.env.GREETING });
