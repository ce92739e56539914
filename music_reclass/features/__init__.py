"""The library database: all SQL, migrations, vectors on disk, the journal."""
