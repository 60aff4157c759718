/**
 * `kpaxos bench` as a user types it, and that nothing is left when it has ended.
 */
import { COMMAND } from "./cluster.ts";
import { ClusterUser } from "./cluster_command.ts";
import { until } from "./until.ts";

export type UserOptions = ConstructorParameters<typeof ClusterUser>[1] & { command?: readonly string[] };

/** A user whose temporary directory is its own; afterwards nothing of it runs, and nothing of clusters is there. */
export async function withUser(
  body: (user: ClusterUser) => Promise<void>,
  options: UserOptions = {},
): Promise<void> {
  const { command = COMMAND, ...rest } = options;
  const user = new ClusterUser(command, rest);
  try {
    await body(user);
    await until("nothing runs any more", () => user.processes().length === 0);
  } finally {
    user.close();
  }
}
