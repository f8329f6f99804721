// C22: writes nothing and hopes for an old answer.
// expect: wrong
// evidence: never written
KERNEL {}
