"""Language models: their keys (`keys`), prices (`ledger`), calls (`client`), and the paid-for log (`desk`)."""
