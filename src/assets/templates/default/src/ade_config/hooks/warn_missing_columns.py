"""After mapping: tell in the run's log which fields were found in no column."""


def run(*, tables, manifest, logger, **_):
    labels = {field.name: field.label for field in manifest.fields}
    for table in tables:
        lost = [labels[column.field] for column in table.mapped if not column.found]
        if lost:
            logger.warning("%s has no column for: %s", table.sheet.label, ", ".join(lost))
