import pandas as pd

from striate import schemas
from striate.config import DataConfig
from striate.data import prepare


def test_sample_tables_survive_every_character_a_file_name_can_hold(tmp_path, write_pictures, picture):
    names = ("re\rturn", "line\nbreak", 'quote"', "comma,", "\u2028", " lead", "NA", "nan", "=1+1", "\u732b")
    root = write_pictures(tmp_path / "set", dict.fromkeys(("a", "None"), 4))
    for number, name in enumerate(names):
        (root / "a" / f"{name}.png").write_bytes(picture(100 + number))
    sets = prepare(DataConfig(data=str(root)))
    assert len(sets.samples) == 8 + len(names)
    schemas.write_table(tmp_path / "samples.csv", sets.samples)
    pd.testing.assert_frame_equal(
        schemas.read_table(tmp_path / "samples.csv"), sets.samples, check_dtype=False
    )
