"""From the masters to what people open: build the notebooks, name their repository, run the chapters."""
