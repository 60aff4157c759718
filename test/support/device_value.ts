/** The value that tests deliver in instance `iid`: of any length below 300, told apart by its bytes. */
export function deviceValue(iid: number): Uint8Array {
  const value = new Uint8Array((iid * 37) % 300);
  for (let i = 0; i < value.length; i++) value[i] = iid + i * 3;
  return value;
}
