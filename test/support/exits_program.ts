/** What `test/recompiled.test.ts` runs, in a runtime that tells each time that compiled code was left: so many values of a cluster. */
import type { WireName } from "../../src/config/config.ts";
import { TurnCluster } from "./turn_cluster.ts";

const [wire, layout, values] = process.argv.slice(2);
new TurnCluster({ wire: wire as WireName, replicas: layout === "replicas" }).runTo(Number(values));
