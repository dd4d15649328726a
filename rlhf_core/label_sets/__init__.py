"""Label sets: named, versioned, append-only collections of judgements that outlive a run.

`batch` is what is added at once, `joining` puts evidence together and takes it apart, `versions`
keeps sets in a store, `lines` and `files` write them to JSON lines and Parquet and read them again.
"""
