"""What every payment provider and every carrier dialect must do, whatever it speaks; run over the registries."""
