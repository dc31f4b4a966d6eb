# Every target is one line of scripts/dev.py (standard library only); `python scripts/dev.py lab` is the same without make.
PYTHON ?= python3
DEV = @$(PYTHON) scripts/dev.py

.PHONY: help lab test check notebooks run audit dashboard scoreboard site instructor format test-colab test-binder bench fit pins clean

help:        ; $(DEV) help
lab:         ; $(DEV) lab $(LAB_ARGS)
test:        ; $(DEV) test $(TEST_ARGS)
check:       ; $(DEV) check
notebooks:   ; $(DEV) notebooks
run:         ; $(DEV) run $(CHAPTERS)
audit:       ; $(DEV) audit
dashboard:   ; $(DEV) dashboard $(DASHBOARD_ARGS)
scoreboard:  ; $(DEV) scoreboard
site:        ; $(DEV) site
instructor:  ; $(DEV) instructor $(or $(COURSE),class) --pack $(or $(PACK),instructor)
format:      ; $(DEV) format
test-colab:  ; $(DEV) test-colab
test-binder: ; $(DEV) test-binder
bench:       ; $(DEV) bench
fit:         ; $(DEV) fit $(if $(TABLES),--tables $(TABLES))
pins:        ; $(DEV) pins
clean:       ; $(DEV) clean
