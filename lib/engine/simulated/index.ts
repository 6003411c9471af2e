export { createSimulatedAgent, simulatedTargetGroups, type SimulatedAgentDeps } from './simulated-agent.js';
