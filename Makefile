PYTHON ?= $(shell command -v python3 || command -v python)
RUN := .venv/bin/python
# side by side, but for those with a camera, which have to keep up with time
define TESTS
$(RUN) -m pytest -m "not browser" -n logical --maxprocesses 4 --dist worksteal
$(RUN) -m pytest tests/browser -m "browser and not camera" -n 2 --dist worksteal
$(RUN) -m pytest tests/browser -m camera
endef

.PHONY: app test test-slow check bench pictures models env env-dev clean

app: env            ## install what is needed and open the studio
	$(RUN) -m streamlit run app.py

test: env-dev       ## run all tests, the browser's included
	$(TESTS)

test-slow: env-dev  ## run the slow tests, too: every recipe of the seeds, more than twenty kills
	$(RUN) -m pytest -m slow --slow

check: env-dev      ## what a commit has to pass: ruff, mypy, tests
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(TESTS)

bench: env-dev      ## measure on this machine; CLIP=video.mp4 takes a clip of yours
	$(RUN) -m benchmarks.photo
	$(RUN) -m benchmarks.video --live $(if $(CLIP),--clip $(CLIP))

pictures: env-dev   ## take the README's pictures again, from the running app
	$(RUN) -m tests.browser.pictures

models: env         ## train the shipped models again (hours, or minutes on a GPU) and measure them; DATA=fer2013.npz
	@test -n "$(DATA)" || { echo "Say where FER2013 with its votes lies: make models DATA=fer2013.npz"; exit 2; }
	# what others begin with or learn from, the untaught ones, is not shipped
	own="$$($(RUN) -c 'from emotion_core.registry import user_models_folder as f; print(f())')"; \
	for recipe in vgg-plain se-resnet-s vgg-s vgg-xs se-resnet-plain se-resnet-m se-resnet-l se-resnet-n; do \
	  case $$recipe in *-plain) out="$$own" ;; *) out=models ;; esac; \
	  $(RUN) -m emotion_core train $$recipe --ferplus --data $(DATA) --out "$$out" || exit 1; \
	done
	$(RUN) -m emotion_core train fer2013-l --fer2013 --data $(DATA) --out models
	for id in se-resnet-m se-resnet-s vgg-xs fer2013-l; do $(RUN) -m emotion_core models slim $$id || exit 1; done
	$(RUN) -m emotion_core models calibrate --data $(DATA)
	for benchmark in ferplus fer2013; do \
	  $(RUN) -m emotion_core evaluate --benchmark $$benchmark --data $(DATA) --keep || exit 1; \
	done

env:
	@$(PYTHON) scripts/bootstrap.py

env-dev:
	@$(PYTHON) scripts/bootstrap.py --dev

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
