"""The whole product on one machine: PostgreSQL, Prefect, the API and a worker, in one data folder."""
