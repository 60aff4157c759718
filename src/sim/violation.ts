/**
 * What must never be, and was: the property that does not hold, and how that was seen.
 */
export type Property =
  | "agreement"
  | "one value per ballot"
  | "one generation per ballot"
  | "validity"
  | "integrity"
  | "order"
  | "no gap"
  | "promises never fall"
  | "nothing is accepted below a promise"
  | "nothing revealed is forgotten"
  | "nothing chosen is lost"
  | "one log, one id"
  | "bounds"
  | "trim"
  | "held"
  | "sessions"
  | "linearizability"
  | "authentication"
  | "invariant"
  | "liveness";

export class Violation extends Error {
  readonly property: Property;

  constructor(property: Property, what: string) {
    super(`${property}: ${what}`);
    this.property = property;
  }
}
