"""A question's arguments as the text that makes them again, in a kernel that has no pickles of ours."""

from typing import Any


def literal(value: Any) -> str:
    """Python source for `value`: plain types, tuples, sets, dicts, numpy arrays, tables. ValueError for others."""
    if value is None or isinstance(value, bool | str | int):
        return repr(value) if type(value) in (bool, str, int, type(None)) else repr(_bare(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + (",)" if len(value) == 1 else ")")
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, set | frozenset):
        return f"set({literal(sorted(value, key=repr))})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return f"DataFrame({literal({name: value[name].tolist() for name in value.columns})})"
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        plain = value.tolist()
        return f"array({literal(plain)}, dtype={str(value.dtype)!r})" if value.ndim else literal(plain)
    raise ValueError(f"value={value!r}: an argument of a question is made of plain numbers, text and lists")


def _bare(value: Any) -> Any:
    return str(value) if isinstance(value, str) else int(value)
